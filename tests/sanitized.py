"""A plugin of pytest: the engines are compiled with the sanitizers of addresses and of undefined behaviour."""

from dlreport import native

native.FLAGS += ["-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
