package inventory

import (
	"fmt"
	"slices"
	"strings"
)

// A Filter says which endpoints are wanted. What is empty wants all.
type Filter struct {
	Pod       string // namespace/name, or a name in any namespace
	Container string // the beginning of its ID
	Network   string
	States    []string // one of them
	Problems  bool     // those that are not ok
}

// IsSet reports whether not all endpoints are wanted.
func (f *Filter) IsSet() bool {
	return f.Pod != "" || f.Container != "" || f.Network != "" || len(f.States) > 0 || f.Problems
}

// Check reports a state that there is not, for it would never be found.
func (f *Filter) Check() error {
	for _, s := range f.States {
		if !slices.Contains(States(), s) {
			return fmt.Errorf("there is no state %.100q: the states are %s", s, strings.Join(States(), ", "))
		}
	}
	return nil
}

// Apply returns those of all that are wanted, whatever state they are in.
func (f *Filter) Apply(all []Endpoint) []Endpoint {
	return slices.DeleteFunc(all, func(e Endpoint) bool {
		return f.Pod != "" && !e.isOfPod(f.Pod) ||
			!strings.HasPrefix(e.Container, f.Container) ||
			f.Network != "" && e.Network != f.Network
	})
}

// ApplyStates returns those of all that are in a wanted state.
func (f *Filter) ApplyStates(all []Endpoint) []Endpoint {
	return slices.DeleteFunc(all, func(e Endpoint) bool {
		return f.Problems && e.Is(OK) || len(f.States) > 0 && !slices.ContainsFunc(f.States, func(s string) bool { return e.Is(State(s)) })
	})
}

// isOfPod reports whether the endpoint is of the pod namespace/name, or of one of
// that name in any namespace.
func (e *Endpoint) isOfPod(pod string) bool {
	return pod == e.Pod() || e.PodName != "" && pod == e.PodName
}
