package inventory

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

const (
	shortID   = 12 // characters of a container ID, as crictl and podman show
	shortMaps = 32
)

// Print prints the endpoints as a table, which is as wide as it needs to be if
// wide is set.
func Print(w io.Writer, all []Endpoint, wide, noHeaders bool) error {
	headers := []string{"ID", "NETWORK", "POD", "CONTAINER", "IFACE", "MAPS", "MEMORY", "AGE", "STATE"}
	if wide {
		headers = append(headers, "PINS")
	}
	if noHeaders {
		headers = nil
	}
	c := output.NewColumns(headers...)
	now := time.Now()
	for i := range all {
		c.Row(all[i].row(now, wide)...)
	}
	return c.Print(w, "")
}

func (e *Endpoint) row(now time.Time, wide bool) []string {
	container, maps := e.Container, e.maps()+e.others()
	if !wide {
		container = ShortContainer(e.Container)
	}
	if n := e.count(Map); !wide && n > 0 && len(maps) > shortMaps {
		maps = fmt.Sprintf(",maps:%d%s", n, e.others())
	}
	row := []string{
		output.ID(e.ID), e.Network, e.Pod(), container, e.Interface,
		strings.TrimPrefix(maps, ","), output.Bytes(e.Memory), e.Age(now), e.State(),
	}
	if wide {
		row = append(row, strings.Join(e.Paths(), ","))
	}
	return row
}

// ShortContainer returns the beginning of a container ID.
func ShortContainer(id string) string {
	if r := []rune(id); len(r) > shortID {
		return string(r[:shortID])
	}
	return id
}

// Paths returns the paths of the endpoint's pins.
func (e *Endpoint) Paths() []string {
	paths := make([]string, len(e.Pins))
	for i, p := range e.Pins {
		paths[i] = p.Path
	}
	return paths
}

// maps returns the types of the maps with their entries, each after a comma.
func (e *Endpoint) maps() string {
	var words []string
	for _, p := range e.Pins {
		if p.Kind == Map {
			words = append(words, fmt.Sprintf(",%s:%d", p.Type, p.MaxEntries))
		}
	}
	slices.Sort(words)
	return strings.Join(words, "")
}

// others returns how many pins are something else than maps, or nothing.
func (e *Endpoint) others() (words string) {
	for _, k := range []Kind{Directory, Object, Unknown, Reserved, Missing} {
		if n := e.count(k); n > 0 {
			words += fmt.Sprintf(",%s:%d", k, n)
		}
	}
	return words
}

func (e *Endpoint) count(k Kind) (n int) {
	for _, p := range e.Pins {
		if p.Kind == k {
			n++
		}
	}
	return n
}
