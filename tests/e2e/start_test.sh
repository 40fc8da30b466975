#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Starting and stopping. What cannot start says so in one line that tells what to do, within five
# seconds, and leaves nothing. Either daemon may start first. Either one ends on SIGTERM within two
# seconds, and takes its socket files, directories and interfaces along.
. "$(dirname "$0")/_init.sh"

run_dir_make
net_up
dp_program=("$build/sfu-dp/sfu-dp" --config "$root/dpdk-config/netns.conf")
ctl_program=("$build/sfu-ctl/sfu-ctl")
dp_settings=(--set "SFU_DP_DEVICE=$dp_device" --set "SFU_LINK=$run_dir/link/dp.sock"
	--set "SFU_DP_CLI=$run_dir/dp-cli.sock")
ctl_base=(--set "SFU_PORT=$http_port" --set CALLS_DEV_INSECURE_AUTH=1)
said="$run_dir/said"
interfaces_before=$(ip -o link | wc -l)

now_ms() {
	echo $(($(date +%s%N) / 1000000))
}

# refused WORD COMMAND…: ends by itself within 5 s with an error, one line on stderr with WORD in it,
# nothing on stdout.
refused() {
	local word=$1 status=0 start lines
	shift
	start=$(now_ms)
	RUNTIME_DIRECTORY="$run_dir/eal" timeout 8 "$@" >"$said.out" 2>"$said" </dev/null || status=$?
	lines=$(grep -cv '^ts=.* level=' "$said")
	if [ "$status" = 0 ] || [ "$status" -ge 124 ] || [ $(($(now_ms) - start)) -gt 5000 ] \
		|| [ "$lines" != 1 ] || ! grep -qF -- "$word" "$said" || [ -s "$said.out" ]; then
		echo "status $status after $(($(now_ms) - start)) ms, $lines lines; looked for: $word"
		head -n 20 "$said" "$said.out"
		return 1
	fi
}

dp_refused() {
	local word=$1
	shift
	refused "$word" "${dp_program[@]}" "${dp_settings[@]}" "$@"
}

ctl_refused() {
	local word=$1
	shift
	refused "$word" "${ctl_program[@]}" "${ctl_base[@]}" "$@"
}

# Nothing of sfu-dp is left in the run directory.
left_nothing() {
	[ -z "$(find "$run_dir/eal" "$run_dir/link" -mindepth 1 -print -quit)" ] \
		&& [ ! -e "$run_dir/dp-cli.sock" ]
}

# ended PID: gone within 2 s of SIGTERM, with exit code 0.
ended() {
	local pid=$1 start status=0
	start=$(now_ms)
	kill -TERM "$pid"
	wait "$pid" || status=$?
	start=$(($(now_ms) - start))
	[ "$status" = 0 ] && [ "$start" -le 2000 ] || {
		echo "status $status after $start ms"
		return 1
	}
}

get() {
	exec 3<>"/dev/tcp/127.0.0.1/$http_port" || return 1
	printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$1" >&3
	timeout 2 cat <&3
	exec 3>&-
} 2>/dev/null

healthy() {
	get /health | grep -q '"ok": *true'
}

mode_is() {
	get /metrics | grep -q "\"mode\": *\"$1\""
}

echo "# sfu-dp: wrong settings"
check "a number out of bounds" dp_refused 'SFU_DP_WORKERS = "99": a number from 1 to 15' --set SFU_DP_WORKERS=99
check "a word that is none of the choices" dp_refused 'one of adaptive|busy' --set SFU_DP_POLLING=lazy
check "an unknown key" dp_refused SFU_DP_WORKER --set SFU_DP_WORKER=1
check "an unknown argument" dp_refused --nonsense --nonsense
check "a file that is not there" dp_refused /no/such.conf --config /no/such.conf
printf 'SFU_DP_WORKERS = 1\nSFU_RTC_MIN_PORT = 0\n' >"$run_dir/wrong.conf"
check "a wrong line of a file, by its number" dp_refused "$run_dir/wrong.conf:2: SFU_RTC_MIN_PORT" --config "$run_dir/wrong.conf"
check "a wrong address" dp_refused 'SFU_DP_ADDRESS = "198.18.99"' --set SFU_DP_ADDRESS=198.18.99
check "a wrong announced address" dp_refused 'SFU_ANNOUNCED_IP = "here"' --set SFU_ANNOUNCED_IP=here
check "an engine that was not built" dp_refused 'SFU_DP_ENGINE = "rot13"' --set SFU_DP_ENGINE=rot13
check "a group that does not exist" dp_refused no-such-group --set SFU_LINK_GROUP=no-such-group
check "an lcore map that is none" dp_refused SFU_DP_LCORES --set SFU_DP_LCORES=zero
check "too few lcores" dp_refused SFU_DP_LCORES --set SFU_DP_LCORES=0@0
check "an EAL argument that is none" dp_refused SFU_DP_EAL --set SFU_DP_EAL=--nonsense

echo "# sfu-dp: what is not there"
check "no such interface" dp_refused 'iface=nowhere' --set SFU_DP_DEVICE=net_af_packet0,iface=nowhere
check "no such driver" dp_refused net_nowhere0 --set SFU_DP_DEVICE=net_nowhere0
check "no such PCI device" dp_refused 0000:ff:1f.7 --set SFU_DP_DEVICE=0000:ff:1f.7
check "no folder for the link socket" dp_refused "$run_dir/no/dp.sock" --set "SFU_LINK=$run_dir/no/dp.sock"
check "no folder for the CLI socket" dp_refused "$run_dir/no/cli.sock" --set "SFU_DP_CLI=$run_dir/no/cli.sock"
echo data >"$run_dir/data"
check "a file of another kind as link socket" dp_refused "$run_dir/data" --set "SFU_LINK=$run_dir/data"
check "a file of another kind as CLI socket" dp_refused "$run_dir/data" --set "SFU_DP_CLI=$run_dir/data"
check "and that file is still there" grep -q data "$run_dir/data"
if [ -n "${ctl_user:-}" ]; then
	# The folder of the sockets belongs to root, the interface to nobody without CAP_NET_RAW.
	install -m 755 "$build/sfu-dp/sfu-dp" "$run_dir/sfu-dp"
	mkdir -m 777 "$run_dir/eal-of-nobody"
	as_nobody=(setpriv "--reuid=$ctl_user" "--regid=$ctl_group" --clear-groups env "RUNTIME_DIRECTORY=$run_dir/eal-of-nobody" "$run_dir/sfu-dp")
	check "no permission to open the interface" refused CAP_NET_RAW "${as_nobody[@]}" "${dp_settings[@]}"
	check "no permission for the folder of the sockets" refused "Permission denied" "${as_nobody[@]}" \
		"${dp_settings[@]}" --set SFU_DP_DEVICE=net_null0
fi

echo "# sfu-dp: not enough memory"
check "more packet buffers than memory" dp_refused SFU_DP_MBUFS --set SFU_DP_MBUFS=16777215
check "more memory than the machine has" dp_refused SFU_DP_MEMORY_MB --set SFU_DP_MEMORY_MB=1048576
check "more hugepages than there are" dp_refused SFU_DP_HUGEPAGES --set SFU_DP_HUGEPAGES=on --set SFU_DP_MEMORY_MB=1048576
check "more objects than memory" dp_refused "not enough memory" --set SFU_DP_MAX_TRANSPORTS=1048576
check "nothing is left of all these" left_nothing

echo "# sfu-ctl alone"
check "a wrong setting" ctl_refused 'SFU_LOG_LEVEL' --set SFU_LOG_LEVEL=loud
check "a page folder that is not there" ctl_refused SFU_WEB_ROOT --set SFU_WEB_ROOT=/no/such/folder
ctl_start
check "without a data plane it answers" wait_until 50 mode_is fallback
check "and says that it is in fallback mode" wait_until 50 grep -q 'mode fallback' "$run_dir/sfu-ctl.out"
check "a second one: port taken" ctl_refused "$http_port"
check "it ends on SIGTERM" ended "$ctl_pid"
ctl_pid=
check "production without a data plane is refused" ctl_refused "SFU_REQUIRE_DP" --set NODE_ENV=production \
	--set SFU_ENABLE_DP=1 --set "SFU_LINK=$run_dir/link/dp.sock" --set SUPABASE_URL=http://127.0.0.1:1 \
	--set SUPABASE_PUBLISHABLE_KEY=key

echo "# both, the data plane first"
dp_start
ctl_start
ctl_wait 50
check "media is ready" ctl_media_ready
check "a second sfu-dp on the same link" dp_refused "$run_dir/link/dp.sock" --set SFU_DP_DEVICE=net_null0 --set "SFU_DP_CLI=$run_dir/other.sock"
check "a second sfu-dp on the same CLI socket" dp_refused "$run_dir/dp-cli.sock" --set SFU_DP_DEVICE=net_null0 --set "SFU_LINK=$run_dir/link/other.sock"
check "the first one is not disturbed" dp_holds link "d['attached'] == True and d['attaches'] == 1"
check "sfu-dp ends on SIGTERM" ended "$dp_pid"
dp_pid=
check "sfu-dp leaves nothing" left_nothing
check "sfu-ctl answers on" healthy
check "sfu-ctl ends on SIGTERM" ended "$ctl_pid"
ctl_pid=

echo "# both, sfu-ctl first"
ctl_start
check "sfu-ctl begins without" wait_until 50 mode_is fallback
dp_start
check "and has media when sfu-dp comes" wait_until 50 ctl_media_ready
check "sfu-ctl ends on SIGTERM" ended "$ctl_pid"
ctl_pid=
check "sfu-dp goes on alone" wait_until 20 dp_holds link "d['attached'] == False"
check "sfu-dp ends on SIGTERM" ended "$dp_pid"
dp_pid=
check "sfu-dp leaves nothing" left_nothing

echo "# stopped while it starts"
for delay in 0.02 0.1 0.2; do
	RUNTIME_DIRECTORY="$run_dir/eal" "${dp_program[@]}" "${dp_settings[@]}" >/dev/null 2>&1 &
	dp_pid=$!
	sleep "$delay"
	kill -TERM "$dp_pid"
	start=$(now_ms)
	wait "$dp_pid"
	check "SIGTERM after $delay s: gone within 2 s" test $(($(now_ms) - start)) -le 2000
	dp_pid=
	check "and nothing is left" left_nothing
done
check "no interface came or went" test "$(ip -o link | wc -l)" = "$interfaces_before"
finish
