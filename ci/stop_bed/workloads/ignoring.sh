# Ignores what asks it to end, and so does what it starts.
trap '' TERM INT HUP
export IGNORING=1 # node forgets what was ignored before it
staying >/dev/null 2>&1 &
lead
