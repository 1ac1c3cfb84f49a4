# Two hundred processes, of which most are forked while the rest is being stopped. All ignore what asks them to end.
trap '' TERM INT HUP
export IGNORING=1
sh "$parts/storm-chain.sh" "$parts" "$here" 100 >/dev/null 2>&1 &
sh "$parts/storm-fan.sh" "$parts" "$here" 98 >/dev/null 2>&1 &
lead
