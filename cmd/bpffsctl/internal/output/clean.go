package output

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxBMP is the last character that \u with four digits can name.
const maxBMP = 0xFFFF

// Clean returns s with everything that a terminal would obey, or that would break
// a line of a table, as an escape: control characters, those that turn the
// direction of the text, and bytes that are no text.
func Clean(s string) string {
	return escape(s, func(r rune) string {
		if r <= unicode.MaxASCII {
			return fmt.Sprintf(`\x%02x`, r)
		}
		return escapeYAML(r)
	})
}

// cleanLines is [Clean] for a text of several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Clean(line)
	}
	return strings.Join(lines, "\n")
}

// Error returns the text of an error with names in it clean. Errors that were joined
// (errors.Join) have a line each; what looks like a new line in a name makes none.
func Error(err error) string {
	var b strings.Builder
	text := err.Error()
	for i, one := range wrapped(err) {
		before, after, ok := strings.Cut(text, one.Error())
		switch {
		case !ok:
			continue
		case i > 0 && before == "\n":
			b.WriteString(before)
		default:
			b.WriteString(Clean(before))
		}
		b.WriteString(Error(one))
		text = after
	}
	return b.String() + Clean(text)
}

// wrapped returns the errors that err was made of.
func wrapped(err error) []error {
	switch err := err.(type) { //nolint:errorlint // Error goes down by itself
	case interface{ Unwrap() error }:
		if one := err.Unwrap(); one != nil {
			return []error{one}
		}
	case interface{ Unwrap() []error }:
		return err.Unwrap()
	}
	return nil
}

// Sprintf is fmt.Sprintf for a message to people: names in it are clean, and errors
// as [Error] returns them.
func Sprintf(format string, args ...any) string {
	clean := make([]any, len(args))
	for i, arg := range args {
		clean[i] = arg
		switch arg := arg.(type) {
		case error:
			clean[i] = Error(arg)
		case string:
			clean[i] = Clean(arg)
		case []string:
			clean[i] = Clean(fmt.Sprint(arg))
		}
	}
	return cleanLines(fmt.Sprintf(format, clean...))
}

// escape replaces the characters of s that are not printed by what as says.
func escape(s string, as func(rune) string) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(as(r))
		}
		s = s[n:]
	}
	return b.String()
}

// isClean reports whether all of s is text that terminals print.
func isClean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// escapeJSON returns r as it stands in a JSON string.
func escapeJSON(r rune) string {
	if r == '\n' { // between the lines, for in strings it is escaped
		return "\n"
	}
	if r <= maxBMP {
		return fmt.Sprintf(`\u%04x`, r)
	}
	high, low := utf16.EncodeRune(r)
	return fmt.Sprintf(`\u%04x\u%04x`, high, low)
}

// escapeYAML returns r as it stands in a quoted YAML string.
func escapeYAML(r rune) string {
	if r == '\n' {
		return "\n"
	}
	if r <= maxBMP {
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
