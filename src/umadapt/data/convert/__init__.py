"""Public data sets, as their owners distribute them, to the folder format: one file a set."""

SETS = {  # name -> the module that knows the set: its `SET`
    "nyudv2": "umadapt.data.convert.nyudv2",
    "pbrs": "umadapt.data.convert.pbrs",
    "hypersim": "umadapt.data.convert.hypersim",
    "gta5": "umadapt.data.convert.gta5",
    "vkitti2": "umadapt.data.convert.vkitti2",
    "synthia": "umadapt.data.convert.synthia",
    "kitti": "umadapt.data.convert.kitti",
    "cityscapes": "umadapt.data.convert.cityscapes",
}
