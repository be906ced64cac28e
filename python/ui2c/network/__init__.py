"""The networks of ui2c: four primitives, one codec, sizes as data.

Everything in here works on channels-last tensors, `[batch, height, width, channels]`: a pointwise
convolution is then a matrix product over rows, on every device.
"""
