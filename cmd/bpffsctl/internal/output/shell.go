package output

import (
	"fmt"
	"strings"
)

// Command returns a line for the shell. What a shell would take apart is quoted.
func Command(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, " ")
}

// Quote returns s as one word for sh, bash and other shells of that family, without
// anything that a terminal would obey. What cannot be printed comes from printf(1):
// $'…' would be shorter, but dash, the sh of Debian, does not know it. A NUL, which
// no argument of a command can have, is left out.
func Quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	if isClean(s) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	text := strings.TrimRight(s, "\n")
	ends := strings.Repeat(newline, len(s)-len(text)) // which "$(…)" would lose
	if text == "" {
		return ends
	}
	if isClean(text) {
		return Quote(text) + ends
	}
	return `"$(printf %b '` + octal(text) + `')"` + ends
}

// plain are the characters that mean themselves to every shell.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_-.,:=+@%"

// newline is a word that is a new line: the third character of IFS (POSIX.1, 2.5.3).
const newline = `"${IFS#??}"`

// octal returns s for %b of printf(1), which does not take the plain characters for
// anything else. Not even an exclamation mark stays, which bash takes in quotes for a
// command of its history.
func octal(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, `\0%03o`, c)
	}
	return b.String()
}
