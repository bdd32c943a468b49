"""The page of `umadapt serve`: `shown` says what is shown of a photo, `adaptation` runs one, `viewer` and `texts` make
HTML; `page` alone knows gradio."""
