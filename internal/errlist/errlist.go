// Package errlist joins errors of which there may be very many.
package errlist

import (
	"fmt"
	"strings"
)

// told is how many errors of a list its text tells.
const told = 3

// A list is several errors.
type list []error

// Join returns an error that is all of those that are not nil, for [errors.Is] and
// [errors.As], but tells only the first few and how many more there are. nil if
// there are none.
func Join(errs ...error) error {
	var all list
	for _, err := range errs {
		if several, ok := err.(list); ok { //nolint:errorlint // a list that is wrapped has words of its own
			all = append(all, several...)
		} else if err != nil {
			all = append(all, err)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

func (l list) Error() string {
	var words []string
	for _, err := range l[:min(len(l), told)] {
		words = append(words, err.Error())
	}
	if more := len(l) - told; more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, "; ")
}

// Unwrap returns all errors.
func (l list) Unwrap() []error { return l }
