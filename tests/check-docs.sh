#!/bin/bash
# The pages tell of what is there: every path they name exists, and every row of the tables that the
# programs are made from is on its page.
set -eu
cd "$(dirname "$0")/.."
bad=0
complain() {
	echo "$*"
	bad=1
}

# Paths stand in backquotes and begin with a folder of the project, or in links.
folders='lib|daemon|ctl|client|conf|systemd|doc|tests|fuzz|bench|scripts|packaging|\.ci'
named_in() {
	grep -oE "\`($folders)/[^\` ]*" "$1" | tr -d '`' | sort -u || true
}
links_of() { # as a reader's browser takes them, from where the page is
	grep -oE '\]\([^)#:]+' "$1" | sed "s|^](|$(dirname "$1")/|" | sort -u || true
}
for page in README.md HACKING.md SECURITY.md NEWS.md doc/*.md; do
	[ -f "$page" ] || { complain "$page is missing"; continue; }
	while read -r path; do
		[ -z "$path" ] || compgen -G "$path" >/dev/null || complain "$page names $path, which does not exist"
	done < <(named_in "$page"; links_of "$page")
done

# column FILE ROW N: the N-th argument of each row, without quotes
column() {
	sed -n "s/^$2(\(.*\))$/\1/p" "$1" | sed -E 's/", "/"|"/g; s/, /|/g; s/"//g' | cut -d'|' -f"$3"
}
on_page() { # PAGE WHAT: each line of the input stands there in backquotes
	local n=0 word
	while read -r word; do
		grep -q "\`$word\`" "$1" || complain "$1 lacks the $2 $word"
		n=$((n + 1))
	done
	[ "$n" -gt 0 ] || complain "the table behind $1 could not be read"
}
on_page doc/PROTOCOL.md operation < <(column lib/operations.def OPERATION 1)
on_page doc/PROTOCOL.md error < <(column lib/codes.def CODE 1)
on_page doc/CONTROL.md command < <(column lib/control.def COMMAND 1)
while read -r words; do
	# mdoc: each command is an item of a list
	grep -qE "^\.It .*Cm ${words// /( Cm)? }( |$)" ctl/ftctl.8 || complain "ctl/ftctl.8 lacks the command $words"
done < <(column lib/control.def COMMAND 2; column ctl/local.def COMMAND 2)

[ "$bad" -eq 0 ] || exit 1
echo "the pages agree with the tables"
