// Package document reads the examples in the documentation, so that tests can
// compare them with what commands print.
package document

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Block returns the lines of output below the first command of that text ("$ " and
// perhaps "sudo " before it) in a Markdown document, up to the end of the block or to
// the next command.
func Block(tb testing.TB, path, command string) (lines []string) {
	tb.Helper()
	text, err := os.ReadFile(path)
	testns.Must(tb, err)
	command = regexp.QuoteMeta(command)
	block := regexp.MustCompile(`(?m)^\$ (?:sudo )?` + command + `\n((?:[^$\x60\n].*\n|\n)+)`).FindSubmatch(text)
	if block == nil {
		tb.Fatalf("%s: there is no block with the command %s", path, command)
	}
	return Lines(string(block[1]))
}

// Lines returns the lines of a text that are not blank.
func Lines(text string) (lines []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// Shape returns text without what differs from one time to the next: IDs, times,
// sizes, counters, and how wide a column is.
func Shape(text string) string {
	for _, r := range []struct{ pattern, with string }{
		{`\d{4}-\d\d-\d\dT[\d:]+Z`, "TIME"},
		{`\b[0-9a-f]{12}([0-9a-f]{52})?\b`, "CONTAINER"},
		{`\bcni-[0-9a-f-]{8,}`, "NETNS"},
		{`\b\d+(\.\d)?([KMG]i)?B\b`, "SIZE"},
		{`\b\d+[smhd]\b`, "AGE"},
		{`(?m) \d+$`, " N"},
		{`(_|\b)\d{5}\b`, "${1}ID"},
		{` \d+ `, " N "},
		{` \d+ `, " N "}, // between two that were replaced
		{` +`, " "},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}
