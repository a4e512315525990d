#!/bin/sh
# WebAssembly text is compiled by the host itself: there is nothing to install.
