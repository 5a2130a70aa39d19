# SPDX-License-Identifier: GPL-2.0-only
#
# For run-suites: turn what the programs of one VM printed into lines of one
# TAP stream. Variables: kernel, suite, number (the next), status (run-vm's),
# errors (its error output), wanted (programs that are to run), seconds,
# verbose, json (a file to append to).
# What is wrong becomes a "not ok" line: nothing that is missing passes.

function emit(good, name, note,	line, result)
{
	line = sprintf("%s %d - %s %s %s%s", good ? "ok" : "not ok", number++,
		       kernel, suite, name, note)
	print line
	result = !good ? "fail" : note ~ /# SKIP/ ? "skip" : "pass"
	gsub(/["\\]/, "", name)
	printf "{\"kernel\": \"%s\", \"suite\": \"%s\", \"name\": \"%s\", \"result\": \"%s\"}\n",
		kernel, suite, name, result >>json
}

function finish(how,	i, bad)
{
	if (program == "")
		return
	ran[program] = 1
	if (how != "0" && !failed_here)
		bad = program " ended with status " how \
			(how == "124" || how == "137" ? " (time is up, or killed)" : "")
	else if (how != "0")
		bad = ""
	else if (plan == "")
		bad = program " printed no plan"
	else if (plan != results)
		bad = program " planned " plan " tests and ran " results
	if (bad != "")
		failed_here = 1
	if (failed_here || verbose)
		for (i = 1; i <= nsaid; i++)
			print "# " said[i]
	for (i = 1; i <= nlines; i++)
		emit(good_of[i], program " " name_of[i], note_of[i])
	if (bad != "")
		emit(0, bad, "")
	program = ""
}

function begin(name)
{
	finish("none: the VM ended in the middle of it")
	program = name
	plan = ""
	results = nsaid = nlines = failed_here = 0
	test = ""
}

BEGIN {
	if (suite == "vm")
		begin(wanted)
}

{ sub(/\r$/, "") }

/^@@ begin / { begin($3); next }
/^@@ end / { if ($3 == program) finish($4); next }

program == "" { next }

/^1\.\.[0-9]+/ {
	plan = substr($1, 4) + 0
	if (plan == 0)
		plan = ""
	next
}

/^#  RUN / { test = $3 }

/^(not )?ok [0-9]+/ {
	good = $1 == "ok"
	rest = $0
	sub(/^(not )?ok [0-9]+ ?(- )?/, "", rest)
	note = ""
	if (match(rest, /# SKIP.*/)) {
		note = " " substr(rest, RSTART)
		rest = substr(rest, 1, RSTART - 1)
		sub(/ +$/, "", rest)
	}
	# The harness of 6.1 does not name the tests that it skips.
	if (rest == "")
		rest = test == "" ? "test " (results + 1) : test
	results++
	nlines++
	good_of[nlines] = good
	name_of[nlines] = rest
	note_of[nlines] = note
	if (!good)
		failed_here = 1
	next
}

/./ { said[++nsaid] = $0 }

END {
	if (suite == "vm")
		finish(status)
	else
		finish("none: the VM ended in the middle of it")
	n = split(wanted, want, " ")
	for (i = 1; i <= n; i++)
		if (!(want[i] in ran))
			emit(0, want[i] " did not run", "")
	if (suite != "vm" || status != 0) {
		if (status != 0)
			while ((getline line < errors) > 0) {
				print "# " line
				if (line ~ /^run-(vm|suites): /)
					why = line
			}
		emit(status == 0, "VM: " (status == 0 ? "kernel is clean" : \
		     "status " status (why == "" ? "" : " (" why ")")), "")
	}
	print "# " kernel " " suite ": " seconds " s"
}
