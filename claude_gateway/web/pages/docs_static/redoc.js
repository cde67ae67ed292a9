"use strict";

Redoc.init("/openapi.json", { hideDownloadButtons: false, requiredPropsFirst: true }, document.getElementById("redoc"));
