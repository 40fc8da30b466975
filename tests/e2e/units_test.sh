#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The units in deploy/systemd: systemd understands all of them, and finds as little exposed as was
# promised. They are judged as installed, with the programs of this build.
. "$(dirname "$0")/_init.sh"

units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
for unit in sfu-ctl.service sfu-ctl.socket sfu-dp.service; do
	sed -E "s|^(Exec[A-Za-z]*=)[^ ]*/(sfu-ctl) |\1$build/sfu-ctl/\2 |; s|^(Exec[A-Za-z]*=)[^ ]*/(sfu-dp\|dp-cli) |\1$build/sfu-dp/\2 |" \
		"$build/deploy/systemd/$unit" >"$units/$unit"
done
cp -r "$units" "$units.vfio"
trap 'rm -rf "$units" "$units.vfio"' EXIT
mkdir "$units.vfio/sfu-dp.service.d"
cp "$root/deploy/systemd/sfu-dp-vfio.conf" "$units.vfio/sfu-dp.service.d/vfio.conf"

understood() {
	local said
	# Of our units only: those of the machine are not ours to mend.
	said=$(SYSTEMD_UNIT_PATH="$1:" systemd-analyze verify --man=no "$1/$2" 2>&1 | grep -F -e "${2%.*}" -e "$1")
	[ -z "$said" ] || {
		echo "$said"
		return 1
	}
}

# exposed FOLDER UNIT MOST: systemd's figure, in tenths.
exposed() {
	local figure
	figure=$(SYSTEMD_UNIT_PATH="$1:" systemd-analyze security --offline=true --no-pager "$1/$2" 2>&1 \
		| sed -nE 's/.*Overall exposure level for .*: ([0-9]+)\.([0-9]).*/\1\2/p')
	echo "# $2: ${figure:-?} tenths of 100"
	[ -n "$figure" ] && [ "$((10#$figure))" -le "$3" ]
}

for unit in sfu-ctl.service sfu-ctl.socket sfu-dp.service; do
	check "$unit is understood" understood "$units" "$unit"
done
check "sfu-dp.service with a NIC of its own is" understood "$units.vfio" sfu-dp.service
check "sfu-ctl is exposed little" exposed "$units" sfu-ctl.service 14
check "sfu-dp, too" exposed "$units" sfu-dp.service 22
check "less with a NIC of its own" exposed "$units.vfio" sfu-dp.service 14
# %t is /run, for services of the system.
control=$(sed -nE 's|.*SFU_CONTROL=%t/([^ ]*).*|/run/\1|p' "$units/sfu-ctl.service")
check "sfu-ctl status looks where the unit has it listen, $control" \
	grep -qF " $control: " <(env -u SFU_CONTROL "$build/sfu-ctl/sfu-ctl" status 2>&1)
check "no name that is none" test -z "$(grep -h '@[a-z]*@' "$units"/*)"
finish
