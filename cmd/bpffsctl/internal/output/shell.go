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

// Quote returns s as a shell takes it for one word, without anything that a
// terminal would obey: for that it needs $'…', which bash, zsh and busybox know
// (POSIX.1-2024).
func Quote(s string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_-.,:=+@%"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	if isClean(s) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	return "$'" + b.String() + "'"
}
