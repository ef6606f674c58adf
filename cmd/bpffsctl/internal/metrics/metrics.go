// Package metrics says in Prometheus' text format what one look at a node saw.
package metrics

import (
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/install"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// ContentType returns that of what [Write] writes, for HTTP.
func ContentType() string { return string(expfmt.NewFormat(expfmt.TypeTextPlain)) }

// A Node is what is known of a node.
type Node struct {
	Version string // of bpffsctl
	*Look          // nil if this process sees only a part of the node

	Install  *install.Status // of install --watch; nil if that is not known
	Released func() int64    // how many endpoints install --watch --gc has released; nil if that does not run
}

// A Look is what one look at a node saw.
type Look struct {
	Network   string // that the runtime uses for its pods; empty if there is none
	HasPlugin bool   // that network calls the plugin
	Roots     []string
	Endpoints []inventory.Endpoint
	Lacking   []inventory.Endpoint // pods without an endpoint
	PodsKnown bool                 // whether Lacking is known
	Complete  bool                 // nothing stayed unseen
	Took      time.Duration
}

// Write writes the metrics of the node.
func Write(w io.Writer, n Node) error {
	families, err := n.registry().Gather()
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		err = errors.Join(err, encoder.Encode(f))
	}
	return err
}

// A registry is one of a single look.
type registry struct{ *prometheus.Registry }

// gauge registers a gauge. Label values go through [output.Clean]: names on the node can
// have bytes that are no text, which Prometheus refuses.
func (r registry) gauge(name, help string, labels ...string) func(value float64, labels ...string) {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "bpffs", Name: name, Help: help}, labels)
	r.MustRegister(g)
	return func(value float64, labels ...string) {
		clean := make([]string, len(labels))
		for i, l := range labels {
			clean[i] = output.Clean(l)
		}
		g.WithLabelValues(clean...).Add(value)
	}
}

// counter registers a counter.
func (r registry) counter(name, help string) func(value int64) {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "bpffs", Name: name, Help: help})
	r.MustRegister(c)
	return func(value int64) { c.Add(float64(value)) }
}

func (n Node) registry() registry {
	r := registry{prometheus.NewRegistry()}
	r.gauge("build_info", "The version of bpffsctl; always 1.", "version", "goversion")(1, n.Version, runtime.Version())
	if n.Look != nil {
		n.add(r)
	}
	if n.Install != nil {
		addInstall(r, *n.Install)
	}
	if n.Released != nil {
		r.counter("lost_endpoints_removed_total", "Endpoints of lost pods that install --watch --gc released.")(n.Released())
	}
	return r
}

func (n *Look) add(r registry) {
	r.gauge("look_success", "Whether everything on the node could be looked at.")(number(n.Complete))
	r.gauge("look_duration_seconds", "How long the look at the node took.")(n.Took.Seconds())
	r.gauge("network_has_plugin", "Whether the network that the runtime uses for its pods calls the plugin.", "network")(number(n.HasPlugin), n.Network)
	n.addEndpoints(r)
	n.addIDs(r)
	if n.PodsKnown {
		r.gauge("pods_without_endpoint", "Running pods on the network that have no endpoint.", "network")(float64(len(n.Lacking)), n.Network)
	}
}

func (n *Look) addEndpoints(r registry) {
	endpoints := r.gauge("endpoints", "Endpoints in a state, as bpffsctl list says it; one in several states counts in each.", "network", "state")
	memory := r.gauge("map_memory_bytes", "Memory of the endpoints' maps.", "network")
	networks := make(map[string]bool)
	if n.HasPlugin {
		networks[n.Network] = true
	}
	for i := range n.Endpoints {
		e := &n.Endpoints[i]
		networks[e.Network] = true
		memory(float64(e.Memory), e.Network)
		for _, s := range e.States {
			endpoints(1, e.Network, string(s))
		}
	}
	for network := range networks { // an alert needs the 0, too
		memory(0, network)
		for _, s := range inventory.States() {
			if s != string(inventory.NoEndpoint) {
				endpoints(0, network, s)
			}
		}
	}
}

func (n *Look) addIDs(r registry) {
	left := r.gauge("endpoint_ids_left", "Endpoint IDs that no endpoint of the bpffs has.", "root")
	for _, root := range n.Roots {
		left(bpffs.MaxEndpoints, root)
	}
	for i := range n.Endpoints {
		left(-1, n.Endpoints[i].Root)
	}
}

func addInstall(r registry, s install.Status) {
	r.gauge("installed", "Whether the last look of install --watch found the plugin and its configuration in place.")(number(s.Ready))
	r.gauge("install_look_timestamp_seconds", "When the last look of install --watch ended, in seconds since 1970.")(float64(s.Looked.UnixMilli()) / 1000)
	r.counter("reinstallations_total", "Looks of install --watch that put back what somebody had undone.")(int64(s.Restored))
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
