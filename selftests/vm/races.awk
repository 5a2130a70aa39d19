# SPDX-License-Identifier: GPL-2.0-only
#
# The data races that KCSAN has reported in a kernel log, one line for each:
# with whose=ours those with a frame of the module on one of their stacks, with
# whose=kernel the others, in which neither access nor what it interrupted is
# the module's. A kernel as it is has some.

/BUG: KCSAN: / {
	title = substr($0, index($0, "BUG: KCSAN: "))
	ours = 0
}

title != "" && index($0, module) { ours = 1 }

/====================/ { flush_report() }

END { flush_report() }

function flush_report()
{
	if (title != "" && (whose == "ours") == ours)
		print title
	title = ""
}
