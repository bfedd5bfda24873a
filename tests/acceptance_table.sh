#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Prints as Markdown the rows that tests left (tests/support/acceptance.h) and those that cannot be had:
#   acceptance_table.sh ROWS_FOLDER UNREACHED.tsv
# Exit code 1 where a row does not hold, or where a section has neither a row nor a reason.
set -euo pipefail
export LC_ALL=C
rows=$1 unreached=$2
tab=$'\t'
every=$(sed -n 's/^# sections: //p' "$unreached")

# Section by letter and number, rows of a section as the tests left them.
sorted() { sed -e 's/|/\\|/g' -e 's/^\([A-Z]\)\([0-9]*\)/\1\t\2/' | sort -t "$tab" -s -k1,1 -k2,2n | sed -e "s/$tab//"; }

table=$(cat "$rows"/*.tsv | sorted)
missing=$(grep -v '^#' "$unreached" | sorted)

echo "## Acceptance numbers"
echo
echo "| section | what | expected | got | holds |"
echo "|---|---|---|---|---|"
awk -F "$tab" '{ print "| " $1 " | " $2 " | " $3 " | " $4 " | " $5 " |" }' <<<"$table"
echo
echo "## What cannot be had, and why"
echo
echo "| section | what | reason |"
echo "|---|---|---|"
awk -F "$tab" '{ print "| " $1 " | " $2 " | " $3 " |" }' <<<"$missing"
echo
echo "## Sections"
echo
awk -F "$tab" -v every="$every" '
  FNR == NR { rows[$1]++; if ($5 != "yes") failed[$1]++; next }
  { reasons[$1]++ }
  END {
    print "| section | rows | do not hold | cannot be had |"
    print "|---|---|---|---|"
    count = split(every, names, " ")
    for (i = 1; i <= count; i++) {
      s = names[i]
      print "| " s " | " rows[s] + 0 " | " failed[s] + 0 " | " reasons[s] + 0 " |"
      if (!(s in rows) && !(s in reasons)) { print "no row and no reason: " s >"/dev/stderr"; wrong = 1 }
    }
    for (s in rows) { all += rows[s]; bad += failed[s] }
    print ""
    print all " rows, " bad + 0 " of them do not hold."
    exit wrong || bad > 0
  }' <(printf '%s\n' "$table") <(printf '%s\n' "$missing")
