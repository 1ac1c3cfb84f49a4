# Each starts the next one: there is always one that was not there a moment ago, and each fifth leaves the session.
read -r self </proc/self/stat
printf '%s\n' "$self" >>"$2/marks"
sleep 0.02
if [ "$3" -gt 1 ] && [ -d "$2" ]; then
  if [ $(($3 % 5)) = 0 ]; then by=setsid; else by=; fi
  $by sh "$0" "$1" "$2" $(($3 - 1)) &
fi
exec sleep 600
