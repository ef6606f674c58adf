{{- define "bpffs.selector" -}}
app.kubernetes.io/component: cni-plugin
app.kubernetes.io/name: bpffs
{{- end }}

{{- define "bpffs.meta" -}}
name: bpffs
namespace: {{ .Release.Namespace }}
labels:
  {{- include "bpffs.selector" . | nindent 2 }}
{{- end }}

{{- define "bpffs.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}
