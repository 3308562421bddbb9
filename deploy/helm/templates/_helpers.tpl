{{- define "multinic.image" -}}
{{ .Values.controller.image.repository }}:{{ .Values.controller.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* On everything. */}}
{{- define "multinic.labels" -}}
app.kubernetes.io/name: multinic-agent
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "multinic.selector" -}}
app.kubernetes.io/name: multinic-agent
app.kubernetes.io/component: controller
{{- end }}

{{- define "multinic.claim" -}}
{{ .Values.storage.existingClaim | default "multinic-agent-store" }}
{{- end }}

{{- define "multinic.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What a container that needs nothing gets. */}}
{{- define "multinic.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}
