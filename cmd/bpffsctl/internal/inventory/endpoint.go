// Package inventory finds out what is on a node: the endpoints that the plugin has
// on record, joined with what the kernel says of their maps.
package inventory

import (
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A State is a word for how an endpoint is. Several can hold at once.
type State string

// The states.
const (
	OK          State = "ok"           // none of the others
	PinMissing  State = "pin-missing"  // a map that the plugin made is not there any more
	PinReplaced State = "pin-replaced" // something else is where the plugin made a map
	NetNSGone   State = "netns-gone"   // there is no network namespace at the recorded path
	NoEndpoint  State = "no-endpoint"  // a pod of the runtime that has none
	Unreadable  State = "unreadable"   // the record, or what is at one of its paths, cannot be read

	VolumeMissing State = "volume-missing" // what the pod saw in its volume is no longer mounted
)

// States returns all states, for completion.
func States() []string {
	return []string{
		string(OK), string(PinMissing), string(PinReplaced), string(VolumeMissing), string(NetNSGone), string(NoEndpoint), string(Unreadable),
	}
}

// An Identity says which endpoint is meant: whose it is, and where it is recorded.
// All that bpffsctl prints for machines names endpoints by it. The names of its JSON
// fields are documented in docs/operations.md and stay.
type Identity struct {
	ID           uint16    `json:"id"` // 0 if the record stands under no ID, or the pod has none
	Network      string    `json:"network"`
	PodNamespace string    `json:"podNamespace"`
	PodName      string    `json:"podName"`
	Container    string    `json:"containerID"`
	Interface    string    `json:"interface"`
	NetNS        string    `json:"netns"`
	Created      time.Time `json:"created,omitzero"`
	Root         string    `json:"root"` // the bpffs
}

// Pod returns the name of the pod after its namespace, as kubectl's users write
// it; empty if there is none.
func (i *Identity) Pod() string {
	if i.PodNamespace == "" {
		return i.PodName
	}
	return i.PodNamespace + "/" + i.PodName
}

// Attachment returns what CNI knows the endpoint by.
func (i *Identity) Attachment() bpffs.Attachment {
	return bpffs.Attachment{Network: i.Network, ContainerID: i.Container, IfName: i.Interface}
}

// Age returns how long the endpoint is there, empty if that is not known.
func (i *Identity) Age(now time.Time) string {
	if i.Created.IsZero() {
		return ""
	}
	return output.Age(now.Sub(i.Created))
}

// An Endpoint is one record and what the kernel has of it. The names of its JSON
// fields stay, too.
type Endpoint struct {
	Identity

	States []State `json:"states"` // at least one
	Error  string  `json:"error,omitempty"`
	Memory uint64  `json:"memoryBytes"` // of its maps
	Pins   []Pin   `json:"pins"`
	PodUID string  `json:"podUID,omitempty"` // if the pod has a volume in which it sees something
	Views  []View  `json:"views,omitempty"`

	PodMounts []bpffs.PodMount `json:"-"` // the views as they are recorded
}

// A Kind says what is at the path of a pin.
type Kind string

// The kinds.
const (
	Map       Kind = "map"
	Missing   Kind = "missing"   // nothing, where the plugin made a map
	Reserved  Kind = "reserved"  // nothing yet: the path is for a downstream plugin
	Directory Kind = "directory" // of a downstream plugin
	Object    Kind = "object"    // another object of BPF: a program or a link
	Unknown   Kind = "unknown"   // the kernel does not say
)

// A Pin is one path that an endpoint owns. What follows the kind is only there
// for maps.
type Pin struct {
	Path       string `json:"path"`
	Kind       Kind   `json:"kind"`
	Replaced   bool   `json:"replaced,omitempty"` // it is not the map that the plugin made
	Type       string `json:"type,omitempty"`     // as bpftool calls it
	MapID      uint32 `json:"mapID,omitempty"`
	KeySize    uint32 `json:"keySize,omitempty"`
	ValueSize  uint32 `json:"valueSize,omitempty"`
	MaxEntries uint32 `json:"maxEntries,omitempty"`
	Flags      uint32 `json:"flags,omitempty"`
	Frozen     bool   `json:"frozen,omitempty"`
	Memory     uint64 `json:"memoryBytes,omitempty"`
	Error      string `json:"error,omitempty"`

	Commands []string `json:"commands,omitempty"` // to look at it, after Explain
}
