# One starts them all.
read -r self </proc/self/stat
printf '%s\n' "$self" >>"$2/marks"
left=$3
while [ "$left" -gt 0 ] && [ -d "$2" ]; do
  sh "$1/as.sh" "$2" sleep 600 &
  left=$((left - 1))
  sleep 0.01
done
exec sleep 600
