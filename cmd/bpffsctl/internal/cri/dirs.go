package cri

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/BurntSushi/toml"
)

// Dirs are the directories in which a runtime looks. What it does not say is empty.
type Dirs struct {
	Bin  []string // of plugins, in the order in which it searches them
	Conf []string // of networks: that of pods, then those of single runtime handlers
}

// configured returns the directories in the configuration that containerd says of
// itself: up to 1.7 with one directory for plugins, from 2.0 on with a list.
func configured(info string) Dirs {
	var config struct {
		CNI struct {
			BinDir, ConfDir string
			BinDirs         []string
		}
		Containerd struct {
			Runtimes map[string]struct{ CNIConfDir string }
		}
	}
	if json.Unmarshal([]byte(info), &config) != nil {
		return Dirs{}
	}
	conf := []string{config.CNI.ConfDir}
	handlers := config.Containerd.Runtimes
	for _, name := range slices.Sorted(maps.Keys(handlers)) {
		conf = append(conf, handlers[name].CNIConfDir)
	}
	return Dirs{usable(append(config.CNI.BinDirs, config.CNI.BinDir)...), usable(conf...)}
}

// usable returns the paths that mean the same to everybody.
func usable(paths ...string) (absolute []string) {
	for _, p := range paths {
		if filepath.IsAbs(p) && !slices.Contains(absolute, filepath.Clean(p)) {
			absolute = append(absolute, filepath.Clean(p))
		}
	}
	return absolute
}

// crioDirs asks CRI-O for its configuration, which it says on its socket over HTTP:
// "crio status config" asks for the same.
func (c *Client) crioDirs(ctx context.Context) (d Dirs, err error) {
	err = c.ask(ctx, "its configuration", func(ctx context.Context) error {
		text, err := c.get(ctx, "/config")
		if err == nil {
			d, err = crioConfigured(text)
		}
		return err
	})
	return d, err
}

// crioConfigured returns the directories in a configuration of CRI-O (crio.conf(5)).
func crioConfigured(text []byte) (Dirs, error) {
	var config struct {
		CRIO struct {
			Network struct {
				NetworkDir string   `toml:"network_dir"`
				PluginDirs []string `toml:"plugin_dirs"`
			} `toml:"network"`
		} `toml:"crio"`
	}
	if err := toml.Unmarshal(text, &config); err != nil {
		return Dirs{}, fmt.Errorf("/config: %w", err)
	}
	network := config.CRIO.Network
	return Dirs{usable(network.PluginDirs...), usable(network.NetworkDir)}, nil
}

// get returns what is at a path of the socket's HTTP server.
func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, c.socket) },
		DisableKeepAlives: true,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://crio"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
}
