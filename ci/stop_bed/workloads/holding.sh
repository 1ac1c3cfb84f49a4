# A child that holds stdout and stderr, also when the leader has ended.
staying &
lead
