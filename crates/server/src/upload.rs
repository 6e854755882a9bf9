//! Uploads of target files: streamed into an unnamed file, held against the signed digest, then put into the repository.
//!
//! Nothing of an upload stays unless all of it arrived as it was signed.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};

use axum::Json;
use axum::RequestExt as _;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use governance::Digest;
use http_body_util::BodyExt as _;
use proof::RequestError;
use tokio::io::AsyncWriteExt as _;
use trust::request::HeaderError;
use wire::{PACKAGE_BYTES_MAX, TargetPut};

use crate::app::App;
use crate::gate::Call;
use crate::problem::{Answer, Failure};

pub(crate) async fn target_put(State(app): State<App>, mut request: Request) -> Answer<TargetPut> {
    let call: Call = request.extract_parts().await?;
    let name: String = call.param("name")?;
    if !proof::tuf::target_name_valid(&name) {
        let hint = "letters, digits and . _ - +, at most 128, no dot in front";
        return Err(Failure::new(StatusCode::BAD_REQUEST, "target-refused", "RL-3", "not a flat name", hint));
    }
    let Ok(_place) = app.uploads.try_acquire() else {
        return Err(Failure::busy("as many uploads are under way as there may be"));
    };
    let folder = app.settings.path(&app.settings.paths.incoming);
    let file =
        blocking(move || tempfile::tempfile_in(folder)).await?.map_err(|e| Failure::unavailable(&e))?;
    let file = receive(request.into_body(), tokio::fs::File::from_std(file)).await?;
    let (plane, wanted, named) = (std::sync::Arc::clone(&app.plane), call.digest(), name.clone());
    let put = blocking(move || {
        let mut file = file;
        if digest(&mut file).map_err(|error| Failure::unavailable(&error))? != wanted {
            return Err(HeaderError::Request(RequestError::Digest).into());
        }
        plane.target_put(&named, &mut file).map_err(Failure::from)
    });
    let target = put.await??;
    Ok(Json(TargetPut { name, length: target.length, digest: call.digest() }))
}

async fn receive(mut body: Body, mut file: tokio::fs::File) -> Result<File, Failure> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Failure::bad_request("body-cut", "the body broke off", "send it again, signed afresh")
        })?;
        let Ok(piece) = frame.into_data() else { continue };
        length += piece.len() as u64;
        if length > PACKAGE_BYTES_MAX {
            return Err(Failure::too_large(PACKAGE_BYTES_MAX, "a file"));
        }
        file.write_all(&piece).await.map_err(|error| Failure::unavailable(&error))?;
    }
    file.flush().await.map_err(|error| Failure::unavailable(&error))?;
    Ok(file.into_std().await)
}

/// The file's SHA-256; it is left at its beginning.
fn digest(file: &mut File) -> std::io::Result<Digest> {
    file.seek(SeekFrom::Start(0))?;
    let digest = trust::digest(file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(digest)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::unavailable(&error))
}
