"""Restarts in a sliding window."""

from sluice.engine._intensity import Intensity


def test_as_many_restarts_as_the_intensity_are_permitted() -> None:
    intensity = Intensity(3, period=5)
    assert [intensity.permit(now) for now in (0, 1, 2)] == [True, True, True]
    assert not intensity.permit(3)


def test_the_window_slides() -> None:
    intensity = Intensity(2, period=5)
    assert all(intensity.permit(now) for now in (0, 4, 5.1, 9.1, 12))
    assert not intensity.permit(13)


def test_an_intensity_of_zero_permits_none() -> None:
    assert not Intensity(0, period=5).permit(0)


def test_it_says_how_many_are_in_the_window() -> None:
    intensity = Intensity(9, period=5)
    for now in (0, 1, 2):
        intensity.permit(now)
    assert intensity.within(5.5) == 2
    intensity.forget()
    assert intensity.within(5.5) == 0
