"""umadapt: synthetic labels and unlabelled photos to one multi-task network (UM-Adapt, ICCV 2019).

import umadapt
model = umadapt.load("runs/noadv")
result = model.predict("photo.jpg")   # depth in metres, normals, seg, trust maps, at the photo's size
"""
