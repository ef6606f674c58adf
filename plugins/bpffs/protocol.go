package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/cni-bpffs/cni-bpffs/internal/rawjson"
)

// Limits on what a runtime sends. A list for GC with all 65,535 attachments,
// which libcni sends twice, stays below the size.
const (
	stdinLimit   = 32 << 20
	stdinTimeout = 10 * time.Second
	stdinUsual   = 4096
)

// cniVersions returns the versions of the CNI specification that are supported,
// the oldest first.
func cniVersions() []string {
	return []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}
}

// request is what a runtime asks for, apart from the configuration (CNI
// specification 1.1.0, section 2, "Parameters").
type request struct {
	containerID, netns, ifName string
	pod                        string // "namespace/name", empty if the runtime does not say
}

// verb is one operation of the protocol.
type verb struct {
	run   func(*config, request) error
	since string   // the version of the specification that brought it
	needs []string // environment variables that must not be empty
}

func (p plugin) verb(command string) (verb, error) {
	needs := []string{"CNI_PATH", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"}
	switch command {
	case "ADD":
		return verb{p.Add, "0.3.0", needs}, nil
	case "DEL":
		return verb{p.Del, "0.3.0", needs[:3]}, nil
	case "CHECK":
		return verb{p.Check, "0.4.0", needs}, nil
	case "GC":
		return verb{p.GC, "1.1.0", needs[:1]}, nil
	case "STATUS":
		return verb{p.Status, "1.1.0", needs[:1]}, nil
	}
	return verb{}, fmt.Errorf("%w: CNI_COMMAND: %q is not a command of CNI", errEnvironment, command)
}

// run carries out the command with the environment that getenv gives. An error
// has been printed in the form of the specification when it returns.
func (p plugin) run(command string, getenv func(string) string) error {
	if command == "VERSION" {
		return p.printVersions()
	}
	c := &config{cniVersion: latest()}
	err := p.dispatch(c, command, getenv)
	if err == nil {
		return nil
	}
	if !slices.Contains(cniVersions(), c.cniVersion) {
		c.cniVersion = latest()
	}
	return errors.Join(err, p.printObject(rawjson.Object{
		"cniVersion": rawjson.String(c.cniVersion), "code": rawjson.Uint(codeOf(err, command)), "msg": rawjson.String(err.Error()),
	}))
}

func (p plugin) printVersions() error {
	var supported []rawjson.Value
	for _, v := range cniVersions() {
		supported = append(supported, rawjson.String(v))
	}
	return p.printObject(rawjson.Object{
		"cniVersion": rawjson.String(latest()), "supportedVersions": rawjson.Array(supported),
	})
}

func (p plugin) printObject(o rawjson.Object) error {
	_, err := p.stdout.Write(append(rawjson.Encode(o), '\n'))
	return err
}

func latest() string {
	versions := cniVersions()
	return versions[len(versions)-1]
}

// dispatch reads the environment and the configuration, which it puts into c,
// and calls the verb.
func (p plugin) dispatch(c *config, command string, getenv func(string) string) error {
	v, err := p.verb(command)
	if err != nil {
		return err
	}
	r, err := v.request(getenv)
	if err != nil {
		return err
	}
	stdin, err := readAll(p.stdin)
	if err != nil {
		return err
	}
	if err := c.parseIdentity(stdin); err != nil {
		return err
	}
	if err := v.checkVersion(command, c.cniVersion); err != nil {
		return err
	}
	return v.run(c, r)
}

// request reads and checks the environment variables that the verb needs.
func (v verb) request(getenv func(string) string) (request, error) {
	var missing []string
	for _, name := range v.needs {
		if getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return request{}, fmt.Errorf("%w: %s missing", errEnvironment, strings.Join(missing, ", "))
	}
	r := request{getenv("CNI_CONTAINERID"), getenv("CNI_NETNS"), getenv("CNI_IFNAME"), podOf(getenv("CNI_ARGS"))}
	if slices.Contains(v.needs, "CNI_CONTAINERID") && !isIdentifier(r.containerID) {
		return r, fmt.Errorf("%w: CNI_CONTAINERID: %.300q is not letters, digits, '_', '.' and '-' after a letter or digit",
			errEnvironment, r.containerID)
	}
	if slices.Contains(v.needs, "CNI_IFNAME") && !isInterfaceName(r.ifName) {
		return r, fmt.Errorf("%w: CNI_IFNAME: %.300q cannot be the name of a network interface", errEnvironment, r.ifName)
	}
	if override := strings.ToUpper(getenv("CNI_NETNS_OVERRIDE")); override != "TRUE" && override != "1" {
		return r, v.checkNetNS(r.netns)
	}
	return r, nil
}

// podOf returns the pod that CNI_ARGS names as Kubernetes' runtimes and podman do,
// as "namespace/name". Whatever cannot be the name of a pod names none.
func podOf(args string) string {
	var namespace, name string
	for arg := range strings.SplitSeq(args, ";") {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "K8S_POD_NAMESPACE":
			namespace = value
		case "K8S_POD_NAME":
			name = value
		}
	}
	if !isIdentifier(namespace) || !isIdentifier(name) {
		return ""
	}
	return namespace + "/" + name
}

// checkNetNS refuses the network namespace of the plugin itself, which no
// container has. A namespace that is gone is none of this plugin's business.
func (v verb) checkNetNS(path string) error {
	if !slices.Contains(v.needs, "CNI_NETNS") {
		return nil
	}
	its, err := os.Stat(path)
	if err != nil {
		return nil
	}
	ours, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		return fmt.Errorf("looking at the plugin's own network namespace: %w", err)
	}
	if os.SameFile(its, ours) {
		return fmt.Errorf("%w: CNI_NETNS: %s is the network namespace of the plugin itself", errNetNS, path)
	}
	return nil
}

// checkVersion refuses a configuration in a version that is not supported, or
// that does not have the command yet.
func (v verb) checkVersion(command, version string) error {
	versions := cniVersions()
	at := slices.Index(versions, version)
	if at < 0 {
		return fmt.Errorf("%w: cniVersion: %q, supported are %s", errVersion, version, strings.Join(versions, ", "))
	}
	if at < slices.Index(versions, v.since) {
		return fmt.Errorf("%w: cniVersion: %q has no %s, it came with %s", errVersion, version, command, v.since)
	}
	return nil
}

// readAll reads a configuration, but does not wait for ever, nor for more than
// any runtime sends. It polls rather than reads beside a timer, because a second
// thread would cost an ADD more than all its work on the records.
func readAll(f *os.File) ([]byte, error) {
	end := time.Now().Add(stdinTimeout)
	data := make([]byte, 0, stdinUsual)
	for len(data) <= stdinLimit {
		ready, err := waitReadable(f, end)
		if err != nil {
			return nil, fmt.Errorf("%w: waiting for the configuration on standard input: %w", errInput, err)
		}
		if !ready {
			return nil, fmt.Errorf("%w: the configuration on standard input has no end after %v", errInput, stdinTimeout)
		}
		data = slices.Grow(data, stdinUsual)
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: reading the configuration from standard input: %w", errInput, err)
		}
	}
	return nil, fmt.Errorf("%w: the configuration on standard input is longer than %d MiB", errInput, stdinLimit>>20)
}

// isIdentifier reports whether s has the form of container IDs and network names
// (CNI specification 1.1.0, sections 1 and 2).
func isIdentifier(s string) bool {
	for i, r := range s {
		alnum := '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !alnum && (i == 0 || !strings.ContainsRune("_.-", r)) {
			return false
		}
	}
	return s != ""
}

// isInterfaceName reports whether the kernel takes s as the name of a network
// interface (dev_valid_name in net/core/dev.c).
func isInterfaceName(s string) bool {
	const limit = 15 // IFNAMSIZ without the final zero byte
	return s != "" && len(s) <= limit && s != "." && s != ".." &&
		!strings.ContainsAny(s, "/:") && !strings.ContainsFunc(s, unicode.IsSpace)
}
