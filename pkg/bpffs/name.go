package bpffs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	maxName  = 255     // NAME_MAX of Linux
	maxPath  = 4096    // PATH_MAX of Linux
	idDigits = "00000" // the form of an endpoint ID in names
)

// checkName reports why name cannot be one component of a path in a bpffs,
// which reserves every name with a dot (kernel/bpf/inode.c, bpf_lookup).
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("it contains an empty name")
	case strings.ContainsAny(name, "./\x00"):
		return fmt.Errorf("%.300q has a dot, a slash or a zero byte: bpffs allows none of these in a name", name)
	case len(name) > maxName:
		return fmt.Errorf("a name of %d bytes is too long, the limit is %d", len(name), maxName)
	}
	return nil
}

// escape makes any string a name that bpffs takes, so that unescape gives the
// string back. Only dots, slashes and percent signs change.
func escape(s string) string {
	if !strings.ContainsAny(s, "%./") {
		return s
	}
	return strings.NewReplacer("%", "%25", ".", "%2E", "/", "%2F").Replace(s)
}

// unescape undoes escape and refuses what escape cannot have written.
func unescape(name string) (string, error) {
	if !strings.ContainsAny(name, "%./") {
		return name, nil
	}
	s := strings.NewReplacer("%25", "%", "%2E", ".", "%2F", "/").Replace(name)
	if escape(s) != name {
		return "", fmt.Errorf("%q is not a name this package writes", name)
	}
	return s, nil
}

// formatID returns the five digits that stand for id in names.
func formatID(id uint16) string {
	return LocalMapName("", id)
}

// parseID undoes formatID.
func parseID(name string) (uint16, error) {
	id, err := strconv.ParseUint(name, 10, 16)
	if err != nil || id == 0 || formatID(uint16(id)) != name {
		return 0, fmt.Errorf("%q is not an endpoint ID of five digits", name)
	}
	return uint16(id), nil
}
