left=1000
while [ -d "$2" ] && [ $((left -= 1)) -gt 0 ]; do sh "$1/as.sh" "$2" sleep 600; done
