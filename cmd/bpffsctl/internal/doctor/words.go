package doctor

import (
	"fmt"
	"strings"
)

// most is how many names of one kind are listed.
const most = 5

// some returns the first names of a long list.
func some(names []string) []string {
	return names[:min(len(names), most)]
}

// list puts names behind each other, at most some of them.
func list(names []string) string {
	text := strings.Join(some(names), ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// count returns the number with the word for one or for several.
func count(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// command returns a line for the shell. What a shell would take apart is quoted.
func command(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

func quote(word string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-+=:,./%@", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// again says that a cure mends only what was listed.
func again(all int) string {
	if all > most {
		return ", and again for the others"
	}
	return ""
}
