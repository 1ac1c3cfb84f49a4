cd /
sh "$1/as.sh" "$2" sleep 600 &
exec sh "$1/as.sh" "$2" sleep 600
