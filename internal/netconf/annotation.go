package netconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// ErrAnnotation says that a pod asks for maps that it cannot have. The error has what
// the pod wrote, and what the network allows.
var ErrAnnotation = errors.New("the pod's annotation " + annotation)

const (
	annotation    = "bpffs/maps" // by which pods ask for optional maps
	maxAnnotation = 4096         // bytes
)

// annotations returns those of the pod as the runtime sent them, nil if it sent none.
func (c *Config) annotations() (json.RawMessage, error) {
	return valueOf("runtimeConfig", c.keys["runtimeConfig"], capability)
}

// HasAnnotations reports whether the runtime sent the annotations of the pod, be they
// none. If it did not, no pod can ask for maps.
func (c *Config) HasAnnotations() bool {
	annotations, err := c.annotations()
	return err == nil && annotations != nil
}

// ForPod returns the configuration with the maps of the pod that the call is about:
// the optional ones only as far as its annotation asks for them, with as many entries
// as it says. [ErrAnnotation] if it cannot have them.
func (c *Config) ForPod() (*Config, error) {
	const key = "runtimeConfig." + capability
	annotations, err := c.annotations()
	if err != nil {
		return nil, err
	}
	raw, err := valueOf(key, annotations, annotation)
	if err != nil {
		return nil, err
	}
	var text string
	if raw != nil {
		if err := decode(key+"."+annotation, raw, &text); err != nil {
			return nil, err
		}
	}
	asked, err := c.readAnnotation(text)
	if err != nil {
		return nil, err
	}
	return c.Keep(func(d *bpffs.MapDecl) bool {
		entries, ok := asked[d.Name]
		d.Spec.MaxEntries = entries
		return ok
	}), nil
}

// readAnnotation returns the entries of the maps that the text names: a list of names,
// with commas between them, each followed by =entries where these are not the map's own.
func (c *Config) readAnnotation(text string) (asked map[string]uint32, err error) {
	if text == "" {
		return nil, nil //nolint:nilnil // it asks for none
	}
	if len(text) > maxAnnotation {
		return nil, c.refuse(text, fmt.Errorf("%d bytes are too long, the limit is %d", len(text), maxAnnotation))
	}
	asked = make(map[string]uint32)
	for one := range strings.SplitSeq(text, ",") {
		name, entries, err := c.readRequest(one)
		if _, twice := asked[name]; err == nil && twice {
			err = errors.New("the map is named twice")
		}
		if err != nil {
			return nil, c.refuse(one, err)
		}
		asked[name] = entries
	}
	return asked, nil
}

// readRequest reads one element of the annotation.
func (c *Config) readRequest(text string) (name string, entries uint32, err error) {
	name, number, sized := strings.Cut(text, "=")
	limit, optional := c.Limits[name]
	if !optional {
		return "", 0, errors.New("the network has no such optional map")
	}
	d := c.Maps[slices.IndexFunc(c.Maps, func(d bpffs.MapDecl) bool { return d.Name == name })]
	if !sized {
		return name, d.Spec.MaxEntries, nil
	}
	n, err := strconv.ParseUint(number, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax) || err == nil && n == 0:
		return "", 0, errors.New("the number after = must be a whole number of at least 1")
	case err != nil || n > uint64(limit):
		return "", 0, errors.New("more entries than allowed")
	}
	return name, uint32(n), withEntries(d, uint32(n)).Spec.Check()
}

// refuse returns the error of a part of the annotation, with what a pod can ask for.
func (c *Config) refuse(part string, err error) error {
	const named = 5
	var allowed []string
	for _, d := range c.Maps {
		switch limit, optional := c.Limits[d.Name]; {
		case limit > 0:
			allowed = append(allowed, fmt.Sprintf("%s (at most %d)", d.Name, limit))
		case optional:
			allowed = append(allowed, d.Name)
		}
	}
	has := "this network has no optional maps"
	if n := len(allowed); n > 0 {
		has = "a pod can ask for " + strings.Join(allowed[:min(n, named)], ", ")
		if n > named {
			has += fmt.Sprintf(" and %d more", n-named)
		}
		has += `; write "name" or "name=entries", with commas and no spaces between them`
	}
	return fmt.Errorf("%w: %.80q: %w; %s", ErrAnnotation, part, err, has)
}
