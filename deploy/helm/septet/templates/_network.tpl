{{/* Rules of NetworkPolicies. */}}

{{/* Peers that may call in; none stands for everybody: (list "from" PEERS). */}}
{{- define "septet.peers" -}}
{{- with index . 1 }}
{{ index $ 0 }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Whom pods may call, but each other. */}}
{{- define "septet.egressRules" -}}
{{- with .Values.networkPolicy.egress -}}
# DNS.
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
# The engines.
- ports:
    {{- range .enginePorts }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- include "septet.peers" (list "to" .engines) | nindent 2 }}
{{- with .extra }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* That pods may call a component: (list $ "analytics"). */}}
{{- define "septet.egressTo" -}}
- ports: [{port: http, protocol: TCP}]
  to:
    - podSelector:
        matchLabels: {{- include "septet.selector" . | nindent 10 }}
{{- end -}}
