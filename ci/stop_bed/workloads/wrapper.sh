# A wrapper that forwards no signal.
mark
if [ "$PORT" = 0 ]; then
  sh "$parts/as.sh" "$here" sleep 600
else
  sh "$parts/as.sh" "$here" node "$parts/lead.cjs"
fi
exit
