package inventory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
)

// Why a word does not say which endpoints are meant.
var (
	ErrUnknown   = errors.New("no such endpoint on this node")
	ErrAmbiguous = errors.New("several match")
)

// Match returns those of all that word means: the one with that ID, else those of
// the pod NAMESPACE/NAME or NAME, or of the container whose ID begins so.
func Match(all []Endpoint, word string) ([]Endpoint, error) {
	groups := make(map[string][]Endpoint)
	for _, e := range all {
		if e.hasID(word) {
			key := fmt.Sprintf("%05d --root %s", e.ID, e.Root)
			groups[key] = append(groups[key], e)
		}
	}
	if len(groups) > 0 {
		return only(groups, all, word)
	}
	for _, e := range all {
		if key := e.isNamed(word); key != "" {
			groups[key] = append(groups[key], e)
		}
	}
	if exact, ok := groups[word]; ok {
		return exact, nil
	}
	return only(groups, all, word)
}

// hasID reports whether word is the endpoint's ID, with or without zeros.
func (e *Endpoint) hasID(word string) bool {
	id, err := strconv.ParseUint(word, 10, 16)
	return err == nil && id != 0 && uint16(id) == e.ID && len(word) <= len("00000")
}

// isNamed returns the full name of what word is the name of, empty if it is none
// of the endpoint.
func (e *Endpoint) isNamed(word string) string {
	switch {
	case word == "":
		return ""
	case e.isOfPod(word):
		return e.Pod()
	case strings.HasPrefix(e.Container, word):
		return e.Container
	}
	return ""
}

// only returns the endpoints of the only group.
func only(groups map[string][]Endpoint, all []Endpoint, word string) ([]Endpoint, error) {
	for _, group := range groups {
		if len(groups) == 1 {
			return group, nil
		}
	}
	if len(groups) > 0 {
		return nil, fmt.Errorf("%q: %w: name one of %s", word, ErrAmbiguous, first(slices.Collect(maps.Keys(groups))))
	}
	err := fmt.Errorf("%.100q: %w: give an ID, NAMESPACE/NAME of a pod, or the beginning of a container ID, as in bpffsctl list --wide",
		word, ErrUnknown)
	var similar []string
	for i := range all {
		if e := &all[i]; word != "" && (strings.HasPrefix(e.Pod(), word) || strings.HasPrefix(e.PodName, word)) {
			similar = append(similar, e.Pod())
		}
	}
	if len(similar) > 0 {
		err = fmt.Errorf("%w; pods whose names begin like this: %s", err, first(similar))
	}
	return nil, err
}

// first returns the first of the names in their order, each once.
func first(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	const named = 10
	if more := len(names) - named; more > 0 {
		names = append(names[:named], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// Words returns what Match takes, for completion: none if the records cannot be
// read.
func Words(ctx context.Context, where places.Where) []string {
	var words []string
	records, err := Records(ctx, where)
	if err != nil {
		records = nil
	}
	for i := range records {
		e := records[i].Identity()
		words = append(words, output.ID(e.ID), e.Pod(), e.Container)
	}
	slices.Sort(words)
	words = slices.Compact(words)
	return slices.DeleteFunc(words, func(s string) bool { return s == "" || output.Clean(s) != s })
}
