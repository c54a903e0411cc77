"""The program of a zygote: ``python -I -S boot.py <control socket>``.

The root package, and the rooms on the way to what is needed, are put in place as empty shells,
because what they import would take longer than all the rest. Workers take the shells away again
before they run anybody's code.
"""

import sys

_POOLS = __file__.rpartition("/")[0].rpartition("/")[0]
_ROOT = _POOLS.rpartition("/")[0]

if __name__ == "__main__":
    for _name, _folder in (
        ("holdfast", _ROOT),
        ("holdfast.pools", _POOLS),
        ("holdfast._core", f"{_ROOT}/_core"),
        ("holdfast._core.process_tree", f"{_ROOT}/_core/process_tree"),
    ):
        _shell = type(sys)(_name)
        _shell.__path__ = [_folder]
        sys.modules[_name] = _shell
    from holdfast.pools._child.zygote import main

    main(int(sys.argv[1]))
