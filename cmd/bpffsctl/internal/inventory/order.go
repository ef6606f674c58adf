package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Order compares two endpoints.
type Order func(a, b *Endpoint) int

// Orders returns the names of the orders, for completion.
func Orders() []string {
	return []string{"id", "pod", "container", "network", "age", "memory"}
}

// ByName returns the order of that name.
func ByName(name string) (Order, error) {
	switch name {
	case "id":
		return byID, nil
	case "pod":
		return func(a, b *Endpoint) int {
			return cmp.Or(cmp.Compare(a.PodNamespace, b.PodNamespace), cmp.Compare(a.PodName, b.PodName))
		}, nil
	case "container":
		return func(a, b *Endpoint) int { return cmp.Compare(a.Container, b.Container) }, nil
	case "network":
		return func(a, b *Endpoint) int { return cmp.Compare(a.Network, b.Network) }, nil
	case "age":
		return func(a, b *Endpoint) int { return a.Created.Compare(b.Created) }, nil
	case "memory":
		return func(a, b *Endpoint) int { return cmp.Compare(b.Memory, a.Memory) }, nil
	}
	return nil, fmt.Errorf("cannot sort by %.100q, only by %s", name, strings.Join(Orders(), ", "))
}

func byID(a, b *Endpoint) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Root, b.Root), cmp.Compare(a.Error, b.Error))
}

// Sort sorts the endpoints; those that are equal by their IDs.
func (o Order) Sort(all []Endpoint) {
	slices.SortStableFunc(all, func(a, b Endpoint) int { return cmp.Or(o(&a, &b), byID(&a, &b)) })
}
