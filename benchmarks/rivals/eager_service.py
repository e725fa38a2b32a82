"""The service as it is usually written: one path here, and at the top every client that a run would need."""

from __future__ import annotations

import alpaca.data.historical
import alpaca.trading.client
import google.auth.transport.requests
import google.cloud.storage
import google.oauth2.id_token
import jwt
import numpy
import pandas
import prometheus_client
import pyarrow.parquet
import pydantic_settings
import pymongo
import requests
import uvicorn
from fastapi import FastAPI

LOADED = (
    alpaca.data.historical,
    alpaca.trading.client,
    google.auth.transport.requests,
    google.cloud.storage,
    google.oauth2.id_token,
    jwt,
    numpy,
    pandas,
    prometheus_client,
    pyarrow.parquet,
    pydantic_settings,
    pymongo,
    requests,
    uvicorn,
)

app = FastAPI()


@app.get("/health")
async def health():  # type: ignore[no-untyped-def]
    """Alive."""
    return {"status": "ok"}
