import pytest
from csv_bytes import as_csv

from bakeoff.core.errors import BakeoffError
from bakeoff.data.datasets.movielens import OCCUPATIONS_1M, from_mirror_100k, from_publisher_1m, from_publisher_100k


def written(tables):
    return {name: as_csv(table) for name, table in tables.items()}


def test_publisher_and_mirror_give_the_same_bytes(published_files, mirrored_files):
    assert written(from_publisher_100k(published_files)) == written(from_mirror_100k(mirrored_files))


def test_100k_interactions_keep_the_publishers_order(published_files):
    assert written(from_publisher_100k(published_files))["interactions"] == (
        "user_id,item_id,timestamp,rating\n2,30,881250949,5\n10,1,881250950,3\n1,1412,881250948,1\n"
    )


def test_100k_users_keep_every_feature_and_zip_codes_their_zeros(published_files):
    assert written(from_publisher_100k(published_files))["users"] == (
        "user_id,age,gender,occupation,zip_code\n1,24,M,technician,85711\n2,53,F,other,00943\n10,7,M,student,T8H1N\n"
    )


def test_100k_titles_years_and_genres_arrive_intact(published_files):
    assert written(from_publisher_100k(published_files))["items"] == (
        "item_id,title,year,genres\n"
        '1,"Usual Thing, The",1995,Action|Animation\n'
        "2,Madam: A Life,1996,Documentary\n"
        "3,Good Evening,1971,\n"
        '30,"Été, L\' (Summer, The)",1968,Drama|Horror\n'
        "267,unknown,,\n"
        "1412,Land After Time (1995) (V),1995,Animation\n"
    )


def test_1m_has_the_columns_of_100k_with_occupations_in_words():
    tables = from_publisher_1m(
        {
            "ratings.dat": b"10::2::5::978300760\n9::1::3::978302109\n",
            "users.dat": b"9::F::1::10::48067\n10::M::56::16::70072-1234\n",
            "movies.dat": "1::Été: Love (1968)::Drama|War\n2::Jumanji (1995)::Children's\n".encode("latin-1"),
        }
    )
    assert written(tables) == {
        "interactions": "user_id,item_id,timestamp,rating\n10,2,978300760,5\n9,1,978302109,3\n",
        "users": "user_id,age,gender,occupation,zip_code\n9,1,F,K-12 student,48067\n10,56,M,self-employed,70072-1234\n",
        "items": "item_id,title,year,genres\n1,Été: Love,1968,Drama|War\n2,Jumanji,1995,Children's\n",
    }
    assert len(OCCUPATIONS_1M) == 21


def test_an_occupation_without_a_name_is_refused():
    files = {
        "ratings.dat": b"1::1::5::978300760\n",
        "users.dat": b"1::F::1::77::48067\n",
        "movies.dat": b"1::A (1968)::War\n",
    }
    with pytest.raises(BakeoffError, match="77"):
        from_publisher_1m(files)


def test_a_file_with_other_columns_is_named(published_files):
    with pytest.raises(BakeoffError, match=r"u\.user is not the file that was expected, with 5 columns"):
        from_publisher_100k({**published_files, "u.user": b"1|24\n"})
