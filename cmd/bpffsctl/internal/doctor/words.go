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

// again says that a cure mends only what was listed.
func again(all int) string {
	if all > most {
		return ", and again for the others"
	}
	return ""
}
