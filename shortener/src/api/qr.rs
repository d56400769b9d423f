//! `/api/qr`: a link as a picture that cameras read. Open to everybody, as pages show it.

use actix_web::{HttpResponse, http::header, web};
use fast_qr::{ECL, QRBuilder, QRCode};

use tokio::sync::Semaphore;

use super::{error::ApiError, links::method_not_allowed, params::Params};
use crate::metrics;

/// The side of the picture in pixels: what is usual, and the bounds.
const SIZE_DEFAULT: u32 = 600;
const SIZE_MIN: u32 = 50;
const SIZE_MAX: u32 = 2_000;
/// The widest margin, in modules. Readers want two at the least.
const MARGIN_DEFAULT: u32 = 2;
const MARGIN_MAX: u32 = 16;

/// Pictures that may be made at once; one more is refused with 503.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

type Rgb = [u8; 3];

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/api/qr").get(qr).default_service(web::to(method_not_allowed)));
}

async fn qr(mut params: Params) -> Result<HttpResponse, ApiError> {
    let url = params.take("url").ok_or_else(|| ApiError::unprocessable("url: is required."))?;
    let size = params.number("size", SIZE_MIN, SIZE_MAX)?.unwrap_or(SIZE_DEFAULT);
    let level = params.read("level", level)?.unwrap_or(ECL::L);
    let foreground = params.read("fgColor", color)?.unwrap_or([0; 3]);
    let background = params.read("bgColor", color)?.unwrap_or([255; 3]);
    // The older of two ways to ask for no margin, which clients still send.
    let default = if params.boolean("includeMargin")?.unwrap_or(true) { MARGIN_DEFAULT } else { 0 };
    let margin = params.number("margin", 0, MARGIN_MAX)?.unwrap_or(default);
    params.boolean("hideLogo")?;
    params.not_supported(&[("logo", "")])?;
    params.finish()?;

    let Ok(_working) = AT_ONCE.try_acquire() else {
        metrics::qr_refused();
        return Err(ApiError::unavailable("Too many QR codes are being made at the moment. Please try again."));
    };
    // Some milliseconds of work, which no redirect of this thread should wait for.
    let drawn = web::block(move || {
        let code = QRBuilder::new(url).ecl(level).build().ok()?;
        Some(picture(&code, size, margin, background, foreground))
    });
    let failed = |error: &dyn std::error::Error| ApiError::unavailable(format!("No picture could be made: {error}."));
    let image = match drawn.await.map_err(|error| failed(&error))? {
        None => return Err(ApiError::unprocessable("url: is too long for a QR code of this level.")),
        Some(image) => image.map_err(|error| failed(&error))?,
    };
    Ok(HttpResponse::Ok()
        .content_type("image/png")
        .insert_header((header::CACHE_CONTROL, "public, max-age=86400"))
        .body(image))
}

fn level(name: &str) -> Result<ECL, String> {
    match name {
        "L" => Ok(ECL::L),
        "M" => Ok(ECL::M),
        "Q" => Ok(ECL::Q),
        "H" => Ok(ECL::H),
        _ => Err("must be L, M, Q or H".to_owned()),
    }
}

/// `#rrggbb`, with or without the sign.
fn color(text: &str) -> Result<Rgb, String> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    let is_color = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_color);
    let [_, red, green, blue] = number.ok_or("must be a color such as #000000")?.to_be_bytes();
    Ok([red, green, blue])
}

/// A PNG of `size` pixels in two colors: each pixel is of the module that it lies in.
fn picture(
    code: &QRCode,
    size: u32,
    margin: u32,
    background: Rgb,
    foreground: Rgb,
) -> Result<Vec<u8>, png::EncodingError> {
    let modules = code.size as u64 + 2 * u64::from(margin);
    let module_of = |pixel: u32| {
        let module = u64::from(pixel) * modules / u64::from(size);
        usize::try_from(module.checked_sub(u64::from(margin))?).ok().filter(|module| *module < code.size)
    };
    let is_dark = |x: Option<usize>, y: Option<usize>| matches!((x, y), (Some(x), Some(y)) if code[y][x].value());

    let mut image = Vec::new();
    let mut encoder = png::Encoder::new(&mut image, size, size);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_palette([background, foreground].concat());
    let row_of = |module: Option<usize>| {
        let mut row = vec![0u8; size.div_ceil(8) as usize];
        for x in (0..size).filter(|x| is_dark(module_of(*x), module)) {
            row[x as usize / 8] |= 0x80 >> (x % 8);
        }
        row
    };
    let mut pixels = Vec::new();
    // Rows of one module are alike.
    let (mut module, mut row) = (module_of(0), row_of(module_of(0)));
    for y in 0..size {
        if module_of(y) != module {
            (module, row) = (module_of(y), row_of(module_of(y)));
        }
        pixels.extend_from_slice(&row);
    }
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dark modules of a picture that has `scale` pixels to a module, read back from the PNG.
    fn read_back(image: &[u8], scale: usize, margin: usize) -> Vec<Vec<bool>> {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(image));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        let (width, modules) = (frame.width as usize, frame.width as usize / scale - 2 * margin);
        let dark = |x: usize, y: usize| pixels[(y * width + x) * 3] == 0x10;
        let at = |module: usize| (module + margin) * scale + scale / 2;
        (0..modules).map(|y| (0..modules).map(|x| dark(at(x), at(y))).collect()).collect()
    }

    /// Seen to fail with x and y exchanged on one side, and with the margin left out.
    #[test]
    fn the_picture_shows_the_code() {
        let code = QRBuilder::new("http://localhost:8080/EF0UClg").ecl(ECL::L).build().unwrap();
        let (scale, margin) = (7, 2);
        let size = (code.size + 2 * margin) * scale;
        let image = picture(&code, size as u32, margin as u32, [0xff; 3], [0x10, 0x20, 0x30]).unwrap();
        let expected: Vec<Vec<bool>> =
            (0..code.size).map(|y| (0..code.size).map(|x| code[y][x].value()).collect()).collect();
        assert_eq!(read_back(&image, scale, margin), expected);
    }

    #[test]
    fn colors_are_six_hexadecimal_digits() {
        assert_eq!(color("#0a0B0c"), Ok([10, 11, 12]));
        assert_eq!(color("ffffff"), Ok([255; 3]));
        for wrong in ["", "#", "#fff", "red", "#12345g", "+12345", "#ü12345"] {
            assert!(color(wrong).is_err(), "{wrong}");
        }
    }
}
