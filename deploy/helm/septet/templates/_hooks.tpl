{{/* Annotations of a hook that comes before an install and before an upgrade, the lighter the earlier. A failed one stays until the next try. */}}
{{- define "septet.migrationHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | toString | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* The same of what `helm test` runs: (list WEIGHT POLICIES). */}}
{{- define "septet.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ index . 0 | toString | quote }}
helm.sh/hook-delete-policy: {{ index . 1 }}
{{- end -}}
