#!/bin/sh
# SPDX-License-Identifier: MIT
# The host part of the case in $CASE (see case.sh).
here=$(dirname "$0")
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck disable=SC1090
. "$here/../cases/$CASE.sh"
host
finish
