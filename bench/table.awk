# SPDX-License-Identifier: MIT
#
# awk -f bench/table.awk build/bench.csv: what `make bench` measured, as a Markdown table.
BEGIN {
	FS = ","
	print "| row | against | peer | ours | ratio | spread | must | goal |"
	print "|---|---|---:|---:|---:|---|---:|---:|"
}
function human(v) {
	if (v >= 1e9) return sprintf("%.3g G", v / 1e9)
	if (v >= 1e6) return sprintf("%.3g M", v / 1e6)
	if (v >= 1e4) return sprintf("%.3g k", v / 1e3)
	return sprintf("%.3g", v)
}
function bound(v) { return sub(/^<=/, "", v) ? "at most " v : substr(v, 1, 2) == ">=" ? substr(v, 3) : v }
function missed(ratio, must) {
	return sub(/^<=/, "", must) ? ratio > must + 0 : sub(/^>=/, "", must) + 1 ? ratio < must + 0 : 0
}
$3 == "" { printf "| %s | %s | not available | | | | | |\n", $1, $2; next }
{ printf "| %s | %s, %s | %s | %s | %.3g | %.3g..%.3g | %s | %s |\n", $1, $2, $10, human($3), human($4), $5, $6, $7, bound($8) (missed($5, $8) ? " (missed)" : ""), bound($9) }
