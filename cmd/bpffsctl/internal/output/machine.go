package output

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"
)

func writeJSON(w io.Writer, v any) error {
	text, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, escape(text, escapeJSON))
	return err
}

func marshal(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("encoding the output: %w", err)
	}
	return b.String(), nil
}

// writeYAML prints what JSON has, its keys sorted.
func writeYAML(w io.Writer, v any) error {
	text, err := marshal(v)
	if err != nil {
		return err
	}
	text = escape(text, escapeYAML)
	lines, err := yaml.JSONToYAML([]byte(text))
	if err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	if cleanLines(string(lines)) != string(lines) {
		// JSON is YAML, too, and has all strings in quotes, where alone an escape
		// means a character.
		lines = []byte(text)
	}
	_, err = w.Write(lines)
	return err
}
